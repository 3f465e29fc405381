"""Audit of speed tables that others published: what do their figures say of each other, and of their device?"""
