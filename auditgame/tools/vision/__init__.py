"""What tools for images share: attribution, feature visualisation, the microscope."""
