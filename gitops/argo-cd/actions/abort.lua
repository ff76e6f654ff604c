-- Gives the candidate up; its traffic goes back to stable first.
local verb, release = "abort", obj.status.candidate.release
-- include annotate
