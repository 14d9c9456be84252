"""What is proved of a stochastic model: errors on the same paths of noise, an independent walk, the noise itself."""
