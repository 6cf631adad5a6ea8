"""What is studied: model, data and metric; loading one; finding what can be cut."""
