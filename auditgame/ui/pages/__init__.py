"""One file per page of the app; each has one function, `page`."""
