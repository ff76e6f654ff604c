-- Which actions an EmbeddingModel offers now; the others are greyed out.
local status = obj.status or {}
local annotations = obj.metadata.annotations or {}
local candidate = status.candidate ~= nil

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

-- include earlier

-- include ended

local again = (candidate and undecided) or (not candidate and ended ~= nil) or open
local held = annotations["lockstep.dev/pause"] ~= nil

local actions = {}
actions["promote"] = { ["disabled"] = not ((candidate and waits) or judged) }
actions["abort"] = { ["disabled"] = not candidate }
actions["rollback"] = { ["disabled"] = earlier == nil }
actions["retry"] = { ["disabled"] = not again }
actions["pause"] = { ["disabled"] = not candidate or held }
actions["resume"] = { ["disabled"] = not held }
return actions
