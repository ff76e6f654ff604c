-- Lets go of what `pause` held. `spec.rollout.paused` belongs to Git and is left alone.
obj.metadata.annotations["lockstep.dev/pause"] = nil
return obj
