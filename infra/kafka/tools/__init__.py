"""What people do with the topics: controls, replays, exports, subscriptions."""
