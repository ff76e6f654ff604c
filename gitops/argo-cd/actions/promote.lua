-- Lets the candidate pass the pause or the gate that it waits at; without one, settles for what
-- serves and is still judged.
local verb, release = "promote", (obj.status.candidate or obj.status.stable).release
-- include annotate
