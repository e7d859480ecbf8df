-- a counter
local count = 0
local function bump(by)
  if by == nil then by = 1 end
  count = count + by
  return string.format("count: %d", count)
end
print(bump(0x10))
