-- Which actions an EmbeddingModel offers now; the others are greyed out.
local status = obj.status or {}
local annotations = obj.metadata.annotations or {}
local candidate = status.candidate ~= nil
local history = status.history or {}

-- A release that waits for a person says so as the reason of its conditions.
local waits, undecided = false, false
-- One that serves may still be judged, or its gates did not decide.
local judged, open = false, false
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" and not candidate then
    open = condition.reason == "GateInconclusive"
    judged = open or condition.reason == "Watched"
  end
  if condition.type == "Reconciling" and condition.status == "True" then
    undecided = condition.reason == "GateInconclusive"
    waits = undecided or condition.reason == "ApprovalRequired"
      or (condition.reason == "StepPause" and status.phase == "Paused")
  end
end

local earlier, seen = false, false
for _, entry in ipairs(history) do
  if status.stable ~= nil and entry.release == status.stable.release then
    seen = true
  elseif seen and (entry.outcome == "Promoted" or entry.outcome == "Reverted") then
    earlier = true
  end
end

local ended = false
if not candidate and history[1] ~= nil then
  ended = history[1].outcome == "Failed" or history[1].outcome == "Aborted"
end

local held = annotations["lockstep.dev/pause"] ~= nil

local actions = {}
actions["promote"] = { ["disabled"] = not ((candidate and waits) or judged) }
actions["abort"] = { ["disabled"] = not candidate }
actions["rollback"] = { ["disabled"] = not earlier }
actions["retry"] = { ["disabled"] = not ((candidate and undecided) or ended or open) }
actions["pause"] = { ["disabled"] = not candidate or held }
actions["resume"] = { ["disabled"] = not held }
return actions
