"""Result folders to one HTML page that needs nothing beside itself: tables, figures, and every response."""
