"""An app of models that can be watched as dashboards; and `cases`, the tests of what follows from their shapes."""
