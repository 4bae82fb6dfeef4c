"""The report's figures, one file a kind: plates of panels, drawn but not written."""
