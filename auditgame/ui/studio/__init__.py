"""The Studio: the recipe form and the list of builds."""
