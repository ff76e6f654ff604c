-- Back to the release that served before stable; the operator refuses when it is not kept whole.
local status = obj.status
-- include earlier
local verb, release = "rollback", earlier
-- include annotate
