-- The release that served before stable.
local earlier, seen = nil, false
for _, entry in ipairs(status.history or {}) do
  if status.stable ~= nil and entry.release == status.stable.release then
    seen = true
  elseif seen and (entry.outcome == "Promoted" or entry.outcome == "Reverted") then
    earlier = entry.release
    break
  end
end
