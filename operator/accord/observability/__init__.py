"""What the operator says about itself: metrics, health, logs. Adapters and everything above them may use it."""
