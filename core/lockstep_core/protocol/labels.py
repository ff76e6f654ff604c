"""Labels and annotations of Lockstep's objects."""

GROUP = "lockstep.dev"
MODEL = f"{GROUP}/model"
RELEASE = f"{GROUP}/release"
INDEX = f"{GROUP}/index"
COMPONENT = f"{GROUP}/component"
ATTEMPT = f"{GROUP}/attempt"
