-- Tries the newest release again where it failed, or measures an undecided gate anew.
local status = obj.status
-- include ended
local verb, release = "retry", ended
if status.candidate ~= nil then
  release = status.candidate.release
elseif release == nil then
  release = status.stable.release
end
-- include annotate
