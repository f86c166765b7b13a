"""What people look at: pictures (`plots`), and the template of the page of results."""
