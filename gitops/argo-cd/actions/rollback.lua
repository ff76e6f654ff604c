-- Back to the release that served before stable; the operator refuses when it is not kept whole.
local release, seen = nil, false
for _, entry in ipairs(obj.status.history) do
  if entry.release == obj.status.stable.release then
    seen = true
  elseif seen and (entry.outcome == "Promoted" or entry.outcome == "Reverted") then
    release = entry.release
    break
  end
end
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
-- The operator acts on a value once, so a second wish for the same release is another value.
local key = "lockstep.dev/rollback"
local used = { [obj.metadata.annotations[key] or ""] = true }
for _, entry in ipairs(obj.status.lastHandled or {}) do
  if entry.verb == "rollback" then
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
