"""What happens at each address: a few lines between the request and the rules in app/."""
