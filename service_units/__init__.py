"""The templates that `service install` renders. In the package these files are `supervisor.service.units`."""
