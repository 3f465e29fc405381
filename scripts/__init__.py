"""Adapters of the library, one for each rule and each command; a mistake of their user ends them with one sentence."""

from speedgrid.launcher import ending

ending.prepare()
