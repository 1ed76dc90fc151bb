"""The parts of report.html, one module for each section."""
