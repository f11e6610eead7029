"""A leaderboard: a file of one JSON object a line that anybody can add to, its checks, and its tables and figure."""
