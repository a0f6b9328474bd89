def contains($x): __cost($x) | __contains($x);
def indices($x): __cost($x) | __indices($x);
def matches($re; $flags): __cost_of_pattern($re) | __matches($re; $flags);
def split_matches($re; $flags): __cost_of_pattern($re) | __split_matches($re; $flags);
def split_($re; $flags): __cost_of_pattern($re) | __split_($re; $flags);
