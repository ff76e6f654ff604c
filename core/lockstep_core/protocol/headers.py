"""The identity that travels with every request and response."""

RELEASE = "x-lockstep-release"
SPACE = "x-lockstep-space"
INDEX_SPACE = "x-lockstep-index-space"
BUILD = "x-lockstep-build"
EXPECTED_SPACE = "x-lockstep-expected-space"
EXPECTED_BUILD = "x-lockstep-expected-build"
