"""Who a caller is: tokens that a site signs for its users."""
