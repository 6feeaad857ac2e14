"""The cockpit: one page in a browser that shows books as they trade, with the buttons that stop them."""
