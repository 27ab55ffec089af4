local step = tonumber(actionParams["step"])
if step == nil or step < 1 or step % 1 ~= 0 then
  error("step must be a positive whole number: " .. tostring(actionParams["step"]), 0)
end
if obj.spec.serving == nil then
  error("nothing is served (no spec.serving): there is nothing to roll back", 0)
end
if obj.spec.suspend == true then
  error("the policy is suspended: resume it first", 0)
end
local status = obj.status or {}
if obj.spec.rollbackTo == step and status.handledRollbackTo == step then
  error("spec.rollbackTo is " .. step .. " already, and that was done: remove the field first", 0)
end
for _, checkpoint in ipairs(status.checkpoints or {}) do
  if checkpoint.step == step and checkpoint.ready and checkpoint.verified and not checkpoint.quarantined then
    obj.spec.rollbackTo = step
    return obj
  end
end
error("step " .. step .. " is not a usable checkpoint", 0)
