local suspended = obj.spec.suspend == true
local phase = obj.status ~= nil and obj.status.phase or nil
local finished = phase == "Succeeded" or phase == "Failed"
local actions = {}
actions["pause"] = {["disabled"] = suspended or finished, ["iconClass"] = "fa fa-fw fa-pause-circle"}
actions["resume"] = {["disabled"] = not suspended or finished, ["iconClass"] = "fa fa-fw fa-play-circle"}
return actions
