"""What the machine's own screen shows, and what can be done at it.

The program that stays (`display`) is small: it imports little, and lets a child look
(`facts`) or ask (`dialogs`) where that takes the rest of the node.
"""
