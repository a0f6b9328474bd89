"""Writes fixture.json: what statsmodels and statsforecast make of AirPassengers and of generated daily spend.

    pip install -r requirements.txt && python make.py > fixture.json
"""

import json
import warnings

import numpy as np
from statsforecast.models import SeasonalNaive, Theta
from statsforecast.theta import auto_theta, forecast_theta
from statsforecast.utils import AirPassengers
from statsmodels.tsa.holtwinters import ExponentialSmoothing

warnings.filterwarnings("ignore")
HORIZON = 30


def spend(seed, n, level, slope, noise, zeros=False):
    """Daily spend with weekends that are quieter."""
    rng = np.random.default_rng(seed)
    week = np.array([1.1, 1.2, 1.25, 1.2, 1.05, 0.55, 0.5])
    days = np.arange(n)
    y = (level + slope * days) * week[days % 7] * np.exp(noise * rng.standard_normal(n))
    if zeros:
        y[rng.random(n) < 0.1] = 0.0
    return np.round(y, 6)


def holt_winters(y, m):
    model = ExponentialSmoothing(
        y, trend="add", damped_trend=True, seasonal="add", seasonal_periods=m,
        initialization_method="estimated")
    # The best of several starts, so that the optimum is a hard one to reach.
    fits = [model.fit(optimized=True, use_brute=brute, method=method)
            for brute in (True, False) for method in ("SLSQP", "L-BFGS-B", "trust-constr")]
    fit = min(fits, key=lambda f: f.sse)
    p = fit.params
    return {
        "alpha": p["smoothing_level"], "beta": p["smoothing_trend"], "gamma": p["smoothing_seasonal"],
        "phi": p["damping_trend"], "level": p["initial_level"], "trend": p["initial_trend"],
        "season": list(map(float, p["initial_seasons"])), "sse": float(fit.sse),
        "forecast": list(map(float, fit.forecast(HORIZON))),
    }


def theta(y, m, form):
    fit = auto_theta(y=y.copy(), m=m, model="STM", decomposition_type=form)
    forecast = forecast_theta(fit, HORIZON)["mean"]
    public = Theta(season_length=m, decomposition_type=form).forecast(y=y, h=HORIZON)["mean"]
    assert np.allclose(forecast, public, rtol=1e-12)
    return {
        "form": form, "alpha": float(fit["par"]["alpha"]), "initial": float(fit["par"]["initial_smoothed"]),
        "seasonal": bool(fit.get("decompose", False)), "sse": float(np.sum(fit["fit"].fn * np.mean(np.abs(
            y_adjusted(y, m, form, fit))))),
        "forecast": list(map(float, forecast)),
    }


def y_adjusted(y, m, form, fit):
    from statsmodels.tsa.seasonal import seasonal_decompose
    if not fit.get("decompose", False):
        return y
    season = seasonal_decompose(y, model=fit["decomposition_type"], period=m).seasonal
    return y - season if fit["decomposition_type"] == "additive" else y / season


def case(name, y, m):
    naive = SeasonalNaive(season_length=m).forecast(y=y, h=HORIZON)["mean"]
    return {
        "name": name, "m": m, "y": list(map(float, y)), "seasonal_naive": list(map(float, naive)),
        "holt_winters": holt_winters(y, m),
        "theta": [theta(y, m, form) for form in ("multiplicative", "additive")],
    }


cases = [
    case("AirPassengers", np.asarray(AirPassengers, dtype=float), 12),
    case("steady", spend(1, 120, 100.0, 0.0, 0.1), 7),
    case("growing", spend(2, 200, 40.0, 0.9, 0.15), 7),
    case("shrinking", spend(3, 90, 300.0, -2.0, 0.2), 7),
    case("noisy", spend(4, 180, 5.0, 0.02, 0.6), 7),
    case("with days of nothing", spend(5, 150, 20.0, 0.1, 0.2, zeros=True), 7),
    case("short", spend(6, 35, 12.0, 0.3, 0.1), 7),
]
print(json.dumps(cases))
