-- Health of an MfaPolicy for Argo CD. Violations are findings about AWS, not a fault of the sync: they never degrade.
local hs = { status = "Progressing", message = "Waiting for the first pass" }
if obj.spec ~= nil and obj.spec.suspend == true then
  return { status = "Suspended", message = "spec.suspend is true: no audits" }
end
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
local failed_accounts = ""
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "AccountsAudited" and condition.status == "False" then
    failed_accounts = "; " .. condition.reason .. ": " .. condition.message
  end
end
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Ready" then
    -- A condition about an older generation says nothing about what was synced.
    if condition.observedGeneration ~= nil and condition.observedGeneration ~= obj.metadata.generation then
      hs.message = "Waiting for a pass over the new spec"
      return hs
    end
    if condition.status == "True" then
      return { status = "Healthy", message = condition.message .. failed_accounts }
    end
    if condition.status == "False" then
      if condition.reason == "Suspended" then
        -- The spec is not suspended any more, or it would have been said above.
        hs.message = "Waiting for the first pass after the suspension"
        return hs
      end
      return { status = "Degraded", message = condition.reason .. ": " .. condition.message }
    end
  end
end
return hs
