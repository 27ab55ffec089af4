local suspended = obj.spec.suspend == true
local record = obj.status ~= nil and obj.status.rollback or nil
local waits = record ~= nil and record.phase == "AwaitingApproval"
local actions = {}
actions["pause"] = {["disabled"] = suspended, ["iconClass"] = "fa fa-fw fa-pause-circle"}
actions["resume"] = {["disabled"] = not suspended, ["iconClass"] = "fa fa-fw fa-play-circle"}
actions["approve"] = {["disabled"] = not waits, ["iconClass"] = "fa fa-fw fa-check"}
actions["reject"] = {["disabled"] = not waits, ["iconClass"] = "fa fa-fw fa-times"}
actions["rollback-to"] = {
  ["disabled"] = suspended or obj.spec.serving == nil,
  ["iconClass"] = "fa fa-fw fa-undo",
  ["params"] = {{["name"] = "step"}}
}
return actions
