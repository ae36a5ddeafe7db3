"""The panes. Each shows what the desk holds and asks for nothing; keys are the screens' business."""
