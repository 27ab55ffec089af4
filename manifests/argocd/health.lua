-- Health of Accord's kinds, from kstatus conditions: Stalled, Reconciling, Ready.
-- A traffic split that deviates (WithinTarget=False) is an alert, not ill health: it is said, but stays Healthy.
local function said(condition)
  if condition.message ~= nil and condition.message ~= "" then
    return condition.reason .. ": " .. condition.message
  end
  return condition.reason or condition.type
end

if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = "is being deleted"}
end

local conditions = {}
local observed = nil
if obj.status ~= nil then
  observed = obj.status.observedGeneration
  for _, condition in ipairs(obj.status.conditions or {}) do
    conditions[condition.type] = condition
  end
end

if observed == nil or observed ~= obj.metadata.generation then
  return {status = "Progressing", message = "the operator has not seen this generation yet"}
end
for _, type in ipairs({"Stalled", "Accepted"}) do
  local condition = conditions[type]
  if condition ~= nil and condition.status == (type == "Stalled" and "True" or "False") then
    return {status = "Degraded", message = said(condition)}
  end
end
if obj.spec ~= nil and obj.spec.suspend == true then
  return {status = "Suspended", message = "spec.suspend is true: " .. (obj.kind == "TrafficPolicy" and "routing stays as it is" or "nothing is started")}
end
local ready = conditions["Ready"]
if ready == nil then
  return {status = "Progressing", message = "has no condition Ready yet"}
end
if ready.status == "True" then
  local within = conditions["WithinTarget"]
  if within ~= nil and within.status == "False" then
    return {status = "Healthy", message = said(within)}
  end
  return {status = "Healthy", message = said(ready)}
end
local reconciling = conditions["Reconciling"]
if reconciling ~= nil and reconciling.status == "True" and reconciling.reason == "PhasePaused" then
  return {status = "Suspended", message = said(reconciling)}
end
return {status = "Progressing", message = said(reconciling or ready)}
