-- The newest release, where it failed or was aborted.
local newest, ended = (status.history or {})[1], nil
if newest ~= nil and (newest.outcome == "Failed" or newest.outcome == "Aborted") then
  ended = newest.release
end
