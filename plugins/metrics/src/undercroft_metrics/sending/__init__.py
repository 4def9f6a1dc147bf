"""The unit manifold `metric-sender`: a pump for each sender."""
