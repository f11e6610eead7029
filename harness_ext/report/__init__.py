"""Result folders to tables and figures; nothing here asks a model anything."""
