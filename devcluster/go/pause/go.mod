module lockstep.dev/devcluster/pause

go 1.25.0
