-- Health of our kinds, by their kstatus conditions.
-- A canary that waits for a person is Progressing with the operator's message, not Suspended:
-- nobody suspended the model, and the same words tell who may continue it.
local hs = { status = "Progressing", message = "Waiting for the operator" }
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  hs.message = "Waiting for the operator to see the newest spec"
  return hs
end
if obj.status.stage == "Retired" or obj.status.stage == "Superseded" then
  -- A release that is over: a record, which nothing waits for.
  return { status = "Healthy", message = obj.status.message or obj.status.stage }
end
local ready, reconciling, stalled, drifts = nil, nil, nil, nil
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    stalled = condition
  elseif condition.type == "Reconciling" and condition.status == "True" then
    reconciling = condition
  elseif condition.type == "Ready" then
    ready = condition
  elseif condition.type == "NoDrift" and condition.status == "False" then
    drifts = condition
  elseif condition.type == "RecallHolds" and condition.status == "False" then
    drifts = drifts or condition
  end
end
if reconciling ~= nil then
  hs.message = reconciling.message or ""
elseif stalled ~= nil then
  hs.status = "Degraded"
  hs.message = stalled.message or ""
elseif drifts ~= nil then
  -- The policy does its work, and what it watches is not what it was.
  hs.status = "Degraded"
  hs.message = obj.status.message or drifts.message or ""
elseif ready ~= nil and ready.status == "True" then
  hs.status = "Healthy"
  hs.message = ready.message or ""
elseif ready ~= nil then
  hs.message = ready.message or ""
end
return hs
