if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
-- The operator acts on a value once, so a second wish for the same release is another value.
local key = "lockstep.dev/" .. verb
local used = { [obj.metadata.annotations[key] or ""] = true }
for _, entry in ipairs(obj.status.lastHandled or {}) do
  if entry.verb == verb then
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
