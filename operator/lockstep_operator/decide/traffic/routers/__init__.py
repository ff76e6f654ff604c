"""Who splits the requests between stable and candidate: one module per `traffic.router`."""
