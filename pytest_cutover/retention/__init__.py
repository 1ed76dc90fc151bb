"""Which past runs may go: what is known of each (`facts`), the rules (`rules`), and taking one away (`removal`)."""
