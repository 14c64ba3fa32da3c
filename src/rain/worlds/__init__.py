"""Worlds: whatever is acted on. LIBERO now; a simulated arm and a robot later."""
