-- Tries the newest release again where it failed, or measures an undecided gate anew.
local release = nil
local newest = (obj.status.history or {})[1]
if obj.status.candidate ~= nil then
  release = obj.status.candidate.release
elseif newest ~= nil and (newest.outcome == "Failed" or newest.outcome == "Aborted") then
  release = newest.release
else
  release = obj.status.stable.release
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
-- The operator acts on a value once, so a second wish for the same release is another value.
local key = "lockstep.dev/retry"
local used = { [obj.metadata.annotations[key] or ""] = true }
for _, entry in ipairs(obj.status.lastHandled or {}) do
  if entry.verb == "retry" then
    used[entry.value] = true
  end
end
local token, count = release, 1
while used[token] do
  count = count + 1
  token = release .. "." .. count
end
obj.metadata.annotations[key] = token
return obj
