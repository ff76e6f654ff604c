-- Holds the candidate before its next stage or step; traffic stays as it is. A pause is a level:
-- the value names the release, and `resume` takes it away.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["lockstep.dev/pause"] = obj.status.candidate.release
return obj
