"""The package formation_VERSION_amd64.deb, and the release tree in it."""
