-- The id says which rollback is meant: one that comes up later is not approved by it.
local record = obj.status ~= nil and obj.status.rollback or nil
if record == nil or record.phase ~= "AwaitingApproval" then
  error("no rollback is waiting for approval", 0)
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["accord.dev/approved-rollback"] = record.id
return obj
