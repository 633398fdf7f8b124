"""What the tools for pictures look through: attribution, painted pictures, the microscope."""
